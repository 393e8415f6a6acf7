//! The allocator, and the one setting of its that matters here. Its one unsafe line gives a constant the name under which the
//! allocator looks for its settings.
#![allow(unsafe_code)]

/// An idle tunnel takes 0.93 KB with jemalloc, and half as much again or more with the others that were tried; a request, which
/// makes two dozen small allocations, costs no more than with the fastest of them. See `docs/design/tunnels.md`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How many free pieces of each size a thread keeps for itself at least. One turn of a busy worker begins some hundred requests
/// before the next ends them; with the usual 20, most of what those let go went back to all threads, under a lock, and was
/// fetched again: 4 % of a keep-alive request.
// SAFETY: jemalloc reads a pointer of this name to text that ends in NUL (`malloc_conf` in its manual, behind the prefix
// that its crate gives all names), which a reference to an array is.
#[unsafe(export_name = "_rjem_malloc_conf")]
static SETTINGS: &[u8; 28] = b"tcache_nslots_small_min:128\0";
