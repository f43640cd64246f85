//go:build tools

// Package tools names what is built from this module, so that `go mod tidy` keeps the pins.
package tools

import _ "github.com/Shopify/toxiproxy/v2/cmd/server"
