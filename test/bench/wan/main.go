//go:build linux

// Command wan joins two network namespaces by a wire with a delay, a rate, a queue and,
// if asked for, loss: a pair of TUN devices, and this program between them. It needs
// root, and no traffic control in the kernel.
//
// The kernel hands over up to 64 KiB of TCP at a time, which is charged to the wire as
// the packets of 1,500 bytes that it stands for, with their headers and Ethernet's
// framing. With loss each packet is handed over by itself.
package main

import (
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("wan: ")
	var (
		near = flag.String("near", "", "one network namespace")
		far  = flag.String("far", "", "the other one")
		dev  = flag.String("dev", "wan0", "name of the device, in both")
		rtt  = flag.Duration("rtt", 0, "round-trip time")
		rate = flag.Float64("rate", 0, "Mbit/s in each direction, Ethernet's framing included; 0 is no limit")
		loss = flag.Float64("loss", 0, "share of packets that get lost, 0 to 1")
	)
	flag.Parse()
	var ends [2]*os.File
	for i, namespace := range []string{*near, *far} {
		var err error
		if ends[i], err = openTUN(namespace, *dev, *loss == 0); err != nil {
			log.Fatalf("%s in network namespace %q: %v", *dev, namespace, err)
		}
	}
	for i := range ends {
		w := &wire{
			in: ends[i], out: ends[1-i],
			delay: *rtt / 2,
			rate:  *rate * 1e6 / 8,
			queue: max(256<<10, *rate*1e6/8*rtt.Seconds()),
			loss:  *loss,
			dice:  rand.New(rand.NewPCG(1, uint64(i))),
		}
		go w.carry()
	}
	fmt.Println("ready")
	select {} // until killed: the devices go with the process
}
