//go:build linux

// Command bench measures pasvport side by side with FTP without a tunnel and with other
// ways through SSH, over an emulated link: with real servers, real clients, and real TCP
// between two network namespaces. It needs root for that. Without root it measures the
// ways through SSH only, over a relay on loopback that delays what it carries.
//
// Each work is done at least five times by each way, in turn or, where it waits for the
// link rather than for the machine, at the same time. What is compared are the runs of
// one round. Goals are printed with what they were met by, or missed.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	var (
		rounds   = flag.Int("rounds", 5, "how often each work is done by each way")
		files    = flag.Int("files", 80, "small files in one work")
		only     = flag.String("only", "", "a regular expression: the works that are done")
		jsonFile = flag.String("json", "", "where all measured values are written")
		svgFile  = flag.String("svg", "", "where the picture is written")
	)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	chosen, err := regexp.Compile(*only)
	if err != nil {
		log.Fatal(err)
	}
	began := time.Now()
	results, err := measure(ctx, *rounds, *files, chosen)
	if err != nil {
		log.Fatal(err)
	}
	printTable(os.Stdout, results)
	fmt.Printf("\n%d rounds, %d small files in each, %.0f minutes\n", *rounds, *files, time.Since(began).Minutes())
	if *jsonFile != "" {
		text, err := json.MarshalIndent(results, "", "  ")
		if err == nil {
			err = os.WriteFile(*jsonFile, append(text, '\n'), 0o644)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	if *svgFile != "" {
		svg := picture(results)
		if svg == nil {
			fmt.Printf("no picture in %s: nothing that it shows was done by FTP without a tunnel\n", *svgFile)
		} else if err := os.WriteFile(*svgFile, svg, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
