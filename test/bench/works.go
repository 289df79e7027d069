//go:build linux

package main

import (
	"fmt"
	"time"
)

// A work is done by several ways.
type work struct {
	name   string
	unit   unit
	server string
	at     []condition
	// Several such works are done at the same time: they wait for the link.
	waits bool
	// Each run has a tunnel of its own.
	fresh bool
	runs  []run
	goals []goal
}

// A run is how a work is done by one way.
type run struct {
	way    way
	client client
}

// A goal is how a way is to compare with another one: the median of the ratios of each
// round. Where no other is named, it is a bound of the way's own value.
type goal struct {
	way, with string
	at        time.Duration // only at this RTT; 0 is at all
	ratio     float64       // at most; at least, where more is better
}

// A unit is what values are counted in.
type unit string

const (
	seconds  unit = "s"
	megabyte unit = "MB/s"
	perGiB   unit = "CPU s/GiB"
	kibibyte unit = "KiB"
)

func (u unit) moreIsBetter() bool { return u == megabyte }

var (
	rtt80 = condition{rtt: 80 * time.Millisecond, rate: 1000}
	rtt20 = condition{rtt: 20 * time.Millisecond, rate: 1000}
	near  = condition{rtt: 200 * time.Microsecond, rate: 1000}
	lossy = condition{rtt: 20 * time.Millisecond, rate: 1000, loss: 0.001}
	none  = condition{}

	wide = []condition{rtt80, rtt20}
)

// by is the same client by several ways.
func by(c client, ways ...way) []run {
	var runs []run
	for _, w := range ways {
		runs = append(runs, run{w, c})
	}
	return runs
}

// toFTP is the goal of pasvport beside FTP without a tunnel.
func toFTP(ratio80, ratio20 float64) []goal {
	return []goal{
		{way: "pasvport", with: "FTP", at: rtt80.rtt, ratio: ratio80},
		{way: "pasvport", with: "FTP", at: rtt20.rtt, ratio: ratio20},
	}
}

// works are all that is measured, with so many small files in each.
func works(files int) []work {
	small := func(what string, n int) string { return fmt.Sprintf("%d %s of 4 KiB", n, what) }
	var list []work
	for _, w := range []struct {
		name    string
		client  client
		vsftpd  []goal
		proftpd []goal // and Pure-FTPd
	}{
		{small("downloads", files) + " by one curl", curlDown("small", files), toFTP(0.45, 0.50), toFTP(0.55, 0.65)},
		{small("uploads", files) + " by one curl", curlUp("small", files), toFTP(0.47, 0.47), toFTP(0.65, 0.65)},
		{small("downloads", files) + " by Python's ftplib", ftplibDown(files), toFTP(0.35, 0.35), toFTP(0.55, 0.55)},
	} {
		for _, server := range []string{"vsftpd", "ProFTPD", "Pure-FTPd"} {
			goals := w.proftpd
			if server == "vsftpd" {
				goals = w.vsftpd
			}
			list = append(list, work{name: w.name, unit: seconds, server: server, at: wide, waits: true,
				runs: by(w.client, plainFTP, throughPasvport), goals: goals})
		}
	}
	downloads := &list[0]
	downloads.runs = append(downloads.runs, by(curlDown("small", files), throughSSH, throughSSHN)...)
	downloads.goals = append(downloads.goals, goal{way: "pasvport", with: "ssh -N -D", ratio: 0.35})
	list = append(list, work{
		name: fmt.Sprintf("mirror of %d files of 4 KiB by lftp", files), unit: seconds, server: "vsftpd", at: wide, waits: true,
		runs: by(command(lftpMirror), plainFTP, throughPasvport), goals: toFTP(0.60, 0.60),
	}, work{
		name: fmt.Sprintf("%d downloads of 512 KiB by one curl", mediumFiles), unit: seconds, server: "vsftpd", at: wide, waits: true,
		runs: by(curlDown("medium", mediumFiles), plainFTP, throughPasvport), goals: toFTP(0.30, 0.40),
	}, work{
		name: small("downloads", few) + ", beside SFTP", unit: seconds, server: "vsftpd", at: []condition{rtt80}, waits: true,
		runs: append(by(curlDown("few", few), plainFTP, throughPasvport),
			run{sftp, command(sftpDown)}, run{lftpSFTP, command(lftpMirrorSFTP)}, run{rcloneSFTP, command(rcloneCopy)}),
	}, work{
		name: "first byte of a listing, new FTP session", unit: seconds, server: "vsftpd", at: []condition{rtt80},
		runs: by(firstByte, plainFTP, throughPasvport), goals: toFTP(0.75, 0.75)[:1],
	}, work{
		name: "greeting of a new FTP session", unit: seconds, server: "vsftpd", at: []condition{rtt80},
		runs: by(greeting, plainFTP, throughPasvport), goals: []goal{{way: "pasvport", ratio: 1.2 * rtt80.rtt.Seconds()}},
	})
	for _, w := range []struct {
		name  string
		once  client
		four  client
		goals []goal
		ways  []way
	}{
		{"upload", curlUp("large", 1), severalCurls(4, bigUp),
			[]goal{{way: "pasvport", with: "ssh -N -D", ratio: 1.8}, {way: "pasvport", with: "ssh -D", ratio: 0.98}},
			[]way{throughPasvport, throughSSH, throughSSHN}},
		{"download", curlDown("large", 1), severalCurls(4, bigDown),
			[]goal{{way: "pasvport", with: "ssh -D", ratio: 0.98}},
			[]way{throughPasvport, throughSSH}},
	} {
		list = append(list, work{
			name: w.name + " of 256 MiB", unit: megabyte, server: "vsftpd", at: []condition{rtt80},
			runs: by(speed(largeSize, w.once), w.ways...), goals: w.goals,
		}, work{
			name: "four " + w.name + "s of 48 MiB at once", unit: megabyte, server: "vsftpd", at: []condition{rtt80},
			runs:  by(speed(4*bigSize, w.four), throughPasvport, withConnections(4)),
			goals: []goal{{way: "pasvport, connections = 4", with: "pasvport", ratio: 1.5}},
		}, work{
			name: w.name + " of 256 MiB", unit: megabyte, server: "vsftpd", at: []condition{near},
			runs: by(speed(largeSize, w.once), plainFTP, throughPasvport), goals: []goal{{way: "pasvport", with: "FTP", ratio: 0.95}},
		}, work{
			name: "CPU of the tunnel, " + w.name + " of 256 MiB", unit: perGiB, server: "vsftpd", at: []condition{none},
			runs:  by(cpu(largeSize, w.once), throughPasvport, throughSSH, throughSSHGCM),
			goals: []goal{{way: "pasvport", with: "ssh -D", ratio: 1.0}, {way: "pasvport", with: "ssh -D -c aes128-gcm", ratio: 1.6}},
		})
	}
	return append(list, work{
		name: "from the program's start to the SSH server", unit: seconds, server: "vsftpd", at: []condition{none},
		runs: by(start, way{name: "pasvport"}), goals: []goal{{way: "pasvport", ratio: 0.020}},
	}, work{
		name: "memory per idle FTP session, 1 to 100", unit: kibibyte, server: "vsftpd", at: []condition{none}, fresh: true,
		runs: by(idleSessions(1, 99), throughPasvport), goals: []goal{{way: "pasvport", ratio: 40}},
	}, work{
		name: "memory per idle FTP session, 100 to 1,000", unit: kibibyte, server: "vsftpd", at: []condition{none}, fresh: true,
		runs: by(idleSessions(100, 900), throughPasvport), goals: []goal{{way: "pasvport", ratio: 40}},
	}, work{
		name: small("downloads", files) + " by one curl", unit: seconds, server: "vsftpd", at: []condition{lossy}, waits: true,
		runs: by(curlDown("small", files), plainFTP, throughPasvport, throughSSH),
	}, work{
		name: "download of 48 MiB", unit: megabyte, server: "vsftpd", at: []condition{lossy},
		runs: by(speed(bigSize, severalCurls(1, bigDown)), plainFTP, throughPasvport, throughSSH),
	})
}

// few are enough small files for what takes long.
const few = 20
