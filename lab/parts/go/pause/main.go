// The process that holds a pod's namespaces open. It is the first process of the pod when the
// pod shares its process namespace, so it reaps what is orphaned to it, and it ends when told.
//
//	SIGTERM, SIGINT ──► exit 0
//	SIGCHLD ──────────► reap every child that has ended
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// One slot is enough: a pending SIGCHLD stands for every child that has ended.
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)

	for {
		select {
		case <-stop:
			return
		case <-ended:
			reap()
		}
	}
}

// reap collects every ended child; it returns when none is left or none has ended.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}
