package android.os

/** Takes the place of the framework's class, which asks native code at its start: a phone with Android 15. */
@Suppress("unused")
class Build private constructor() {
    object VERSION {
        @JvmField
        val SDK_INT = 35

        @JvmField
        val DEVICE_INITIAL_SDK_INT = 35

        @JvmField
        val RESOURCES_SDK_INT = 35
    }

    /** The releases that the library tells apart. */
    object VERSION_CODES {
        const val P = 28
        const val R = 30
        const val S = 31
    }

    companion object {
        const val TYPE = "user"
        const val IS_DEBUGGABLE = false
    }
}
