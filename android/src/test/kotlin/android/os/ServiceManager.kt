package android.os

/** Takes the place of the framework's class: system services are what a test registered. */
object ServiceManager {
    private val services = HashMap<String, IBinder>()

    @JvmStatic
    fun getService(name: String): IBinder? = services[name]

    fun register(name: String, service: IBinder) {
        services[name] = service
    }
}
