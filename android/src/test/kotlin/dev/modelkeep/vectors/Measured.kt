package dev.modelkeep.vectors

import android.os.SharedMemory
import com.sun.management.OperatingSystemMXBean
import java.lang.management.ManagementFactory
import java.lang.management.MemoryType

/** What something took: in seconds by the clock and of all processors, and in bytes of heap beyond what was there before. */
internal class Measured private constructor(val seconds: Double, val busy: Double, val heap: Long) {
    companion object {
        private const val PAUSE = 30L
        private val pools = ManagementFactory.getMemoryPoolMXBeans().filter { it.type == MemoryType.HEAP }
        private val machine = ManagementFactory.getOperatingSystemMXBean() as OperatingSystemMXBean

        fun of(action: () -> Unit): Measured {
            System.gc()
            // The memory of what was measured before is given back in the meantime.
            Thread.sleep(PAUSE)
            val before = pools.sumOf { it.usage.used }
            pools.forEach { it.resetPeakUsage() }
            val processor = machine.processCpuTime
            val start = System.nanoTime()
            action()
            val seconds = (System.nanoTime() - start) / 1e9
            val busy = (machine.processCpuTime - processor) / 1e9
            SharedMemory.given.clear()
            return Measured(seconds, busy, pools.sumOf { it.peakUsage.used } - before)
        }
    }
}
