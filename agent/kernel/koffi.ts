import koffi from 'koffi'

/**
 * How much stack a function gets that is called in another thread. Koffi gives it one of its own, of 128 KiB, where libraries
 * count on the 8 MiB that any thread has: libnftables puts a netlink message of 64 KiB there, and again in what it calls. Only
 * what is used of it is ever memory. It can be said only before the first library is loaded.
 */
koffi.config({ async_stack_size: 8 * 1024 * 1024 })

export default koffi
