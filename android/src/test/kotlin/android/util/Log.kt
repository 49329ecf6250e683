@file:Suppress("UNUSED_PARAMETER")

package android.util

/** Takes the place of the framework's class, which writes in native code. */
object Log {
    @JvmStatic
    fun d(tag: String?, message: String): Int = 0

    @JvmStatic
    @JvmOverloads
    fun w(tag: String?, message: String?, error: Throwable? = null): Int = 0

    @JvmStatic
    @JvmOverloads
    fun e(tag: String?, message: String?, error: Throwable? = null): Int = 0

    @JvmStatic
    fun isLoggable(tag: String?, level: Int): Boolean = false
}
