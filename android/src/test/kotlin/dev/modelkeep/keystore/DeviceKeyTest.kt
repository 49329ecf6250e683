package dev.modelkeep.keystore

import android.os.Build
import dev.modelkeep.Authentication
import dev.modelkeep.DeviceKey
import dev.modelkeep.KeyMissingError
import dev.modelkeep.KeyProtection
import dev.modelkeep.KeyStoreError
import dev.modelkeep.KeystoreIdentity
import dev.modelkeep.MalformedError
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.SecurityLevel
import dev.modelkeep.UsageError
import dev.modelkeep.WrappedIdentity
import dev.modelkeep.fake.FakeContext
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.toHexadecimal
import dev.modelkeep.vectors.Vector
import java.io.File
import java.util.concurrent.CompletableFuture
import java.util.concurrent.CyclicBarrier
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** Where the key of an app goes, by what the device says of itself. */
internal class DeviceKeyTest {
    @TempDir
    lateinit var folder: File

    private val none = KeyProtection(Authentication.NONE)

    @Test
    fun `agreement in hardware is claimed only where the device says so`() {
        val phone = FakePhone().switchOn()
        for ((version, isInHardware) in listOf(0 to false, 41 to false, 99 to false, 100 to true, 300 to true)) {
            val context = FakeContext(File(folder, "$version"), version)
            assertEquals(isInHardware, KeystoreIdentity.isSupported(context))
            val made = DeviceKey.openOrEnrol(context, "key", none)
            assertEquals(isInHardware, made is KeystoreIdentity)
            assertArrayEquals(made.publicValue, DeviceKey.openOrEnrol(context, "key", none).publicValue)
            DeviceKey.delete(context, "key")
            assertEquals(0, phone.keyCount)
            val next = DeviceKey.openOrEnrol(context, "key", none)
            assertFalse(made.publicValue.contentEquals(next.publicValue))
            DeviceKey.delete(context, "key")
        }
    }

    @Test
    fun `a key that is there is taken only if it is kept as carefully as is demanded`() {
        val phone = FakePhone().switchOn()
        val credential = KeyProtection()
        val more = listOf(
            none to KeyProtection(Authentication.NONE, requireStrongBox = true),
            none to credential,
            credential to KeyProtection(validitySeconds = credential.validitySeconds - 1),
            credential to KeyProtection(Authentication.BIOMETRIC),
        )
        for ((version, pair) in listOf(0, 300).flatMap { version -> more.map { version to it } }) {
            phone.authenticate()
            val context = FakeContext(File(folder, "$version"), version)
            val (made, demanded) = pair
            val key = DeviceKey.openOrEnrol(context, "key", made)
            assertThrows(KeyStoreError::class.java) { DeviceKey.openOrEnrol(context, "key", demanded) }
            assertArrayEquals(key.publicValue, DeviceKey.openOrEnrol(context, "key", made).publicValue)
            assertArrayEquals(key.publicValue, DeviceKey.openOrEnrol(context, "key", none).publicValue)
            DeviceKey.delete(context, "key")
        }
    }

    @Test
    fun `who asks for a key at the same time gets the same one`() {
        FakePhone().switchOn()
        for (version in listOf(0, 300)) {
            val context = FakeContext(File(folder, "$version"), version)
            val start = CyclicBarrier(2)
            val both = List(2) {
                CompletableFuture.supplyAsync {
                    start.await()
                    DeviceKey.openOrEnrol(context, "key", none).publicValue.toHexadecimal()
                }
            }
            assertEquals(1, both.map { it.join() }.toSet().size)
            DeviceKey.delete(context, "key")
        }
    }

    @Test
    fun `a device whose agreement is wrong gets no key there`() {
        val phone = FakePhone().switchOn()
        phone.isAgreementRight = false
        assertThrows(KeyStoreError::class.java) { KeystoreIdentity.enrol("key", none) }
        assertEquals(0, phone.keyCount)
    }

    @Test
    fun `a restored file is said so, and the way back is to begin again`() {
        FakePhone().switchOn()
        val context = FakeContext(folder, 0)
        DeviceKey.openOrEnrol(context, "key", none)
        FakePhone().switchOn()
        assertThrows(KeyMissingError::class.java) { DeviceKey.openOrEnrol(context, "key", none) }
        DeviceKey.delete(context, "key")
        DeviceKey.openOrEnrol(context, "key", none)
    }

    @Test
    fun `a file that holds something else is not taken for a key`() {
        FakePhone().switchOn()
        val file = File(folder, "key")
        file.writeText("x".repeat(5000))
        assertThrows(MalformedError::class.java) { WrappedIdentity.open(file) }
        file.writeText("{}")
        assertThrows(MalformedError::class.java) { WrappedIdentity.open(file) }
        // A file that is none of ours is in the way of no new key.
        WrappedIdentity.enrol("key", file, none)
        file.writeText("{}")
        WrappedIdentity.delete(file)
        assertFalse(file.exists())
    }

    @Test
    fun `where a wrapping key is held is said on every level`() {
        for ((isReal, apiLevel) in listOf(true to 23, false to 23, true to Build.VERSION.SDK_INT, false to Build.VERSION.SDK_INT)) {
            FakePhone(isSecureWorldReal = isReal).switchOn()
            val made = WrappedIdentity.enrol("key", File(folder, "key"), none, apiLevel)
            assertEquals(if (isReal) SecurityLevel.TRUSTED_ENVIRONMENT else SecurityLevel.SOFTWARE, made.securityLevel)
        }
    }

    @Test
    fun `a protection that cannot be is refused`() {
        assertThrows(UsageError::class.java) { KeyProtection(validitySeconds = 0) }
    }

    @Test
    fun `an app's loader remembers in files that are not backed up`() {
        FakePhone().switchOn()
        val vector = Vector.all(File("../vectors/v1")).first { it.name == "sha256-leaves" }
        val loader = SecureModelLoader(FakeContext(folder), vector.identity(), vector.verifier())
        loader.install(vector.bundle, File(folder, "installed.keep"))
        assertTrue(File(folder, "modelkeep").list()!!.any { it.endsWith(".state") })
    }
}
