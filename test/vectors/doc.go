// Package vectors runs public test vectors whole: Project Wycheproof, the JOSE
// cookbook (RFC 7520) and JSONTestSuite.
//
// They come from Go modules, fetched when the tests run, or from a folder
// shared/vectors beside the repository (or where SALLYPORT_SHARED says). The
// cookbook is in no Go module that the proxy serves, so without that folder its
// tests skip. This is a module of its own because the vectors weigh 90 MB, which
// nobody who builds the program should download.
//
// What disagrees with us is listed as an exception, with the reason; an
// exception that is not needed any more is an error.
package vectors
