module github.com/gumbel-go/gumbel/internal/kernel/asm

go 1.25.0

require (
	github.com/gumbel-go/gumbel v0.0.0
	github.com/mmcloughlin/avo v0.5.0
)

require (
	golang.org/x/mod v0.40.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/tools v0.49.0 // indirect
)

replace github.com/gumbel-go/gumbel => ../../..
