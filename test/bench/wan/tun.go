//go:build linux

package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	vnetHeader = 10 // bytes before each packet: struct virtio_net_hdr
	maxPacket  = 65536 + vnetHeader
	framing    = 38 // of Ethernet, around each packet: preamble 8, header 14, checksum 4, gap 12
)

// openTUN makes a device in a network namespace, one that "ip netns add" has made.
func openTUN(namespace, device string, offload bool) (file *os.File, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever: the thread stays in the namespace, and ends with this function
		file, err = openTUNHere(namespace, device, offload)
	}()
	<-done
	return file, err
}

// openTUNHere moves the thread to the namespace.
func openTUNHere(namespace, device string, offload bool) (*os.File, error) {
	ns, err := os.Open(filepath.Join("/run/netns", namespace))
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(device)
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, err
	}
	flags := 0
	if offload {
		flags = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, flags); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), device), nil
}

// onWire is how many bytes a packet with its virtio header is on Ethernet, cut into
// segments where it stands for several.
func onWire(packet []byte) int {
	const segmentation, headerLength, segmentSize = 1, 2, 4 // where the header has them
	n := len(packet) - vnetHeader
	headers := int(binary.LittleEndian.Uint16(packet[headerLength:]))
	size := int(binary.LittleEndian.Uint16(packet[segmentSize:]))
	if packet[segmentation] == 0 || size == 0 || n <= headers {
		return n + framing
	}
	segments := (n - headers + size - 1) / size
	return n + (segments-1)*headers + segments*framing
}
