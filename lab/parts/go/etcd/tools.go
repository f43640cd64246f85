//go:build tools

// Package tools names what is built from this module, so that `go mod tidy` keeps the pins.
package tools

import (
	_ "go.etcd.io/etcd/etcdctl/v3"
	_ "go.etcd.io/etcd/server/v3"
)
