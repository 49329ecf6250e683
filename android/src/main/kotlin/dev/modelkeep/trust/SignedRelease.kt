package dev.modelkeep.trust

/** What of a signed release a trust file limits; [bundle] is its id in hexadecimal. */
internal class SignedRelease(val model: String, val family: String, val sealedAt: Long, val bundle: String)
