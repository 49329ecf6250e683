package dev.modelkeep.fake

import android.app.AppGlobals
import android.app.Application
import android.hardware.biometrics.BiometricManager
import android.hardware.biometrics.IAuthService
import android.hardware.security.keymint.ErrorCode
import android.os.IBinder
import android.os.ServiceManager
import android.os.ServiceSpecificException
import android.security.keystore2.AndroidKeyStoreProvider
import android.service.gatekeeper.IGateKeeperService
import android.system.keystore2.IKeystoreService
import android.system.keystore2.ResponseCode
import java.io.FileDescriptor
import java.io.FileInputStream
import java.lang.reflect.InvocationHandler
import java.lang.reflect.Proxy
import java.nio.ByteBuffer
import java.security.Provider
import java.security.Security
import java.util.concurrent.CopyOnWriteArrayList
import libcore.io.Libcore
import libcore.io.Os

/** What the security chip of a phone can do. */
internal enum class StrongBox { ABSENT, WITHOUT_AGREEMENT, COMPLETE }

/**
 * The parts of a phone that AOSP's own Keystore provider talks to: the Keystore service with the rules of
 * KeyMint, the gatekeeper, and the biometric service.
 *
 * Not modelled: latency, the number of operation slots, and the errors of vendors.
 */
internal class FakePhone(
    val strongBox: StrongBox = StrongBox.ABSENT,
    /** Without one, Android holds keys in software, and says so. */
    val isSecureWorldReal: Boolean = true,
) {
    /** Seconds since the phone was switched on. */
    var now = 1000L

    /** Every call over binder to the Keystore, by name, since the last [forgetCalls]. */
    val calls = CopyOnWriteArrayList<String>()
    var isLocked = false

    /** Some devices compute something else. */
    var isAgreementRight = true

    /** What every operation fails with, or null. */
    var failure: Int? = null
    private val keystore = FakeKeystore(this)
    val keyCount: Int get() = keystore.keyCount
    private var lastAuthentication: Long? = null
    private var rootSecureUserId = 17L
    private var biometricIds = longArrayOf(101L)

    fun authenticate() {
        lastAuthentication = now
    }

    /** The user adds a fingerprint. */
    fun enrolBiometric() {
        biometricIds = longArrayOf(biometricIds[0] + 1)
    }

    /** The user removes the screen lock, and sets up a new one. */
    fun replaceScreenLock() {
        rootSecureUserId++
        enrolBiometric()
    }

    fun forgetCalls() = calls.clear()

    /** Says no as KeyMint does, unless [key] may be used now. */
    fun checkUser(key: KeyMintKey) {
        if (key.needsUnlockedDevice && isLocked) fail(ErrorCode.DEVICE_LOCKED)
        if (!key.needsUser) return
        val known = biometricIds.asList() + rootSecureUserId
        if (key.secureUserIds.none { it in known }) fail(ResponseCode.KEY_PERMANENTLY_INVALIDATED)
        val age = lastAuthentication?.let { now - it }
        if (age == null || age > (key.timeout ?: 0)) fail(ErrorCode.KEY_USER_NOT_AUTHENTICATED)
    }

    /** Makes this the phone that the framework's classes find. */
    fun switchOn(): FakePhone {
        register("android.system.keystore2.IKeystoreService/default", proxy<IKeystoreService>(keystore))
        register(
            "android.service.gatekeeper.IGateKeeperService",
            proxy<IGateKeeperService> { _, _, _ -> rootSecureUserId },
        )
        AppGlobals.application = FakeApplication { biometricIds }
        Libcore.os = systemCalls()
        if (Security.getProvider("AndroidKeyStore") == null) {
            putConscryptFirst()
            AndroidKeyStoreProvider.install()
        }
        return this
    }

    /** The provider of real phones, where the build put one of its releases onto the class path. */
    private fun putConscryptFirst() {
        if (!System.getProperty("modelkeep.conscrypt").toBoolean()) return
        val provider = Class.forName("org.conscrypt.OpenSSLProvider").getDeclaredConstructor().newInstance()
        Security.insertProviderAt(provider as Provider, 1)
    }

    private fun register(name: String, service: android.os.IInterface) {
        ServiceManager.register(name, binderOf(service))
    }

    /** The only system calls on the way: who the app is, and reading. */
    private fun systemCalls(): Os =
        Proxy.newProxyInstance(Os::class.java.classLoader, arrayOf(Os::class.java)) { _, method, arguments ->
            when (method.name) {
                "getuid" -> APP_UID
                "pread" -> pread(arguments[0] as FileDescriptor, arguments[1] as ByteBuffer, arguments[2] as Long)
                else -> throw UnsupportedOperationException(method.name)
            }
        } as Os

    private fun pread(descriptor: FileDescriptor, target: ByteBuffer, position: Long): Int =
        maxOf(0, FileInputStream(descriptor).channel.read(target, position))

    companion object {
        private const val APP_UID = 10_123

        fun fail(code: Int): Nothing = throw ServiceSpecificException(code, "code $code")

        /** Returns an object of a binder interface whose methods [handler] answers. */
        inline fun <reified T : android.os.IInterface> proxy(handler: InvocationHandler): T {
            lateinit var service: Any
            val answer = InvocationHandler { self, method, arguments ->
                if (method.name == "asBinder") binderOf(service as android.os.IInterface)
                else handler.invoke(self, method, arguments)
            }
            service = Proxy.newProxyInstance(T::class.java.classLoader, arrayOf(T::class.java), answer)
            return service as T
        }

        /** Returns the binder of a service in the same process: queries give the service itself. */
        fun binderOf(service: android.os.IInterface): IBinder =
            Proxy.newProxyInstance(IBinder::class.java.classLoader, arrayOf(IBinder::class.java)) { _, method, _ ->
                if (method.name == "queryLocalInterface") service else null
            } as IBinder
    }
}

/** An app whose only system service is the biometric one. */
private class FakeApplication(private val biometricIds: () -> LongArray) : Application() {
    override fun getSystemServiceName(service: Class<*>): String = service.name

    override fun getSystemService(name: String): Any? {
        if (name != BiometricManager::class.java.name) return null
        return BiometricManager(this, FakePhone.proxy<IAuthService> { _, _, _ -> biometricIds() })
    }

    override fun getUserId(): Int = 0
}
