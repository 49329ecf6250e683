package dev.modelkeep.payload

import dev.modelkeep.wipe
import java.nio.ByteBuffer
import javax.crypto.BadPaddingException
import javax.crypto.Cipher

/** The tag does not fit: other bytes, or another key. */
internal class BadTag : Exception()

/**
 * Decrypts all that remains of [sealed] with an authenticated cipher into [plain], which needs room for the plaintext
 * alone. Providers such as those of API 23 to 27 demand room for the tag, too: those get memory of their own.
 */
internal fun Cipher.decryptInto(sealed: ByteBuffer, plain: ByteBuffer) {
    val room = getOutputSize(sealed.remaining())
    if (room <= plain.remaining()) return finish(sealed, plain)
    val scratch = ByteBuffer.allocateDirect(room)
    try {
        finish(sealed, scratch)
        scratch.flip()
        plain.put(scratch)
    } finally {
        scratch.wipe()
    }
}

private fun Cipher.finish(sealed: ByteBuffer, plain: ByteBuffer) {
    try {
        doFinal(sealed, plain)
    } catch (_: BadPaddingException) {
        throw BadTag()
    }
}
