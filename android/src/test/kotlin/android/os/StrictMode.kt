package android.os

/** Takes the place of the framework's class: nobody watches disk access in a test. */
@Suppress("UNUSED_PARAMETER")
object StrictMode {
    @JvmStatic
    fun noteDiskRead() = Unit

    @JvmStatic
    fun noteDiskWrite() = Unit

    @JvmStatic
    fun noteSlowCall(name: String) = Unit
}
