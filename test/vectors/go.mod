module github.com/sallyport/sallyport/test/vectors

go 1.26.8

require (
	github.com/c2sp/wycheproof v0.0.0-20260902155932-3fa63dd0344a
	// Not imported either: it holds no Go package, only texts.
	github.com/nst/JSONTestSuite v0.0.0-20241122125541-1ef36fa01286
	github.com/sallyport/sallyport v0.0.0
)

replace github.com/sallyport/sallyport => ../..
