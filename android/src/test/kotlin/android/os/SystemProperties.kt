package android.os

/** Takes the place of the framework's class, whose methods are native. */
@Suppress("unused")
object SystemProperties {
    @JvmStatic
    fun get(key: String): String = get(key, "")

    @JvmStatic
    fun get(@Suppress("UNUSED_PARAMETER") key: String, fallback: String): String = fallback

    @JvmStatic
    fun getInt(@Suppress("UNUSED_PARAMETER") key: String, fallback: Int): Int = fallback

    @JvmStatic
    fun getLong(@Suppress("UNUSED_PARAMETER") key: String, fallback: Long): Long = fallback

    @JvmStatic
    fun getBoolean(@Suppress("UNUSED_PARAMETER") key: String, fallback: Boolean): Boolean = fallback
}
