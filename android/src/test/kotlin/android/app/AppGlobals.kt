package android.app

/** Takes the place of the framework's class: the app is what a test registered. */
object AppGlobals {
    lateinit var application: Application

    @JvmStatic
    fun getInitialApplication(): Application = application
}
