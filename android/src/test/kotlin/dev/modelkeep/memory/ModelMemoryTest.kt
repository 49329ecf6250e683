package dev.modelkeep.memory

import dev.modelkeep.UsageError
import dev.modelkeep.payload.StreamLayout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.ValueSource

internal class ModelMemoryTest {
    @ParameterizedTest
    @ValueSource(ints = [23, 27])
    fun `a file that no buffer can hold lies in several, cut where segments end`(apiLevel: Int) {
        val size = 5_000_000L
        val layout = StreamLayout(size)
        ModelMemory.allocate(size, apiLevel, largest = 1000, segments = 2).use { memory ->
            for (index in 0 until layout.count) {
                val part = memory.target.part(layout.plainStart(index), layout.plainLength(index))
                while (part.hasRemaining()) part.put(index.toByte())
            }
            assertThrows(UsageError::class.java) { memory.readable() }
            val parts = memory.parts()
            assertEquals(size, parts.sumOf { it.remaining().toLong() })
            assertEquals(listOf(0, 2, 4), parts.map { it.get(0).toInt() })
            assertEquals(listOf(1, 3, 4), parts.map { it.get(it.limit() - 1).toInt() })
        }
    }

    @Test
    fun `buffers of usual files are whole`() {
        ModelMemory.allocate(3_000_000).use { assertEquals(3_000_000, it.readable().remaining()) }
        ModelMemory.allocate(0).use { assertEquals(0, it.readable().remaining()) }
    }
}
