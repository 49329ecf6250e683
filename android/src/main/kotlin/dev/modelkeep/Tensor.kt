package dev.modelkeep

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * An input as LiteRT takes it: a buffer with its element type and shape.
 *
 * Hand the very same buffer to the runtime, and let nobody write to it between the check and the run.
 *
 * @property dtype element type, for example `float32` or `uint8`.
 * @property shape length of every axis.
 * @param data the elements from the buffer's position 0 to its limit.
 * @throws UsageError not an element type that a buffer can hold, or a negative length.
 */
public class Tensor @Throws(KeepError::class) constructor(
    public val dtype: String,
    public val shape: IntArray,
    data: ByteBuffer,
) {
    private val data: ByteBuffer = data.duplicate().order(data.order())
    init {
        if (shape.any { it < 0 }) throw UsageError("lengths are not negative")
    }

    private val itemSize: Int = ITEM_SIZES[dtype] ?: throw UsageError("tensors of this type cannot be checked")

    internal val isNative: Boolean get() = itemSize == 1 || data.order() == ByteOrder.nativeOrder()
    internal val bytes: Int get() = data.limit()
    internal val count: Long = if (0 in shape) 0 else shape.fold(1L, ::multiply)
    internal val byteCount: Long = multiply(count, itemSize)

    internal fun view(): ByteBuffer = data.duplicate().order(data.order()).apply { position(0) }

    private fun multiply(product: Long, length: Int): Long =
        // Beyond every buffer already; more would only overflow.
        if (product > Int.MAX_VALUE) product else product * length

    internal companion object {
        private val ITEM_SIZES = mapOf(
            "bool" to 1, "int8" to 1, "uint8" to 1, "int16" to 2, "uint16" to 2, "int32" to 4, "uint32" to 4,
            "int64" to 8, "uint64" to 8, "float16" to 2, "bfloat16" to 2, "float32" to 4, "float64" to 8,
            "complex64" to 8, "complex128" to 16,
        )

        val DTYPES: Set<String> get() = ITEM_SIZES.keys
    }
}
