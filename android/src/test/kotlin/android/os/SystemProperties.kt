package android.os

/** Takes the place of the framework's class, whose methods are native: a phone with Android 15. */
@Suppress("UNUSED_PARAMETER")
object SystemProperties {
    @JvmStatic
    fun get(key: String): String = get(key, "")

    @JvmStatic
    fun get(key: String, fallback: String): String = fallback

    @JvmStatic
    fun getInt(key: String, fallback: Int): Int = if (key == "ro.build.version.sdk") 35 else fallback

    @JvmStatic
    fun getLong(key: String, fallback: Long): Long = fallback

    @JvmStatic
    fun getBoolean(key: String, fallback: Boolean): Boolean = fallback
}
