package org.tensorflow.lite

import java.nio.ByteBuffer

/** Has the shape of LiteRT's class, so that the sample compiles without it. */
@Suppress("UNUSED_PARAMETER")
class Interpreter(model: ByteBuffer) : AutoCloseable {
    fun run(input: Any, output: Any): Unit = throw UnsupportedOperationException()

    override fun close() = Unit
}
