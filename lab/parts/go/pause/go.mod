module tricenter.dev/lab/parts/pause

go 1.24.0
