//go:build tools

// Package tools names what is built from this module, so that `go mod tidy` keeps the pins.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
