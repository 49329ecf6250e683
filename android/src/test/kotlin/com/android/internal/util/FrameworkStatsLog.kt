@file:Suppress("UNUSED_PARAMETER")

package com.android.internal.util

/** Takes the place of the framework's class, which counts for statistics in native code. */
object FrameworkStatsLog {
    @JvmStatic
    fun write(code: Int, first: Boolean, second: Boolean, third: Boolean, fourth: Boolean, value: Int) = Unit
}
