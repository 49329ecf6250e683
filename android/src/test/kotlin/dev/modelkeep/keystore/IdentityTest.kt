package dev.modelkeep.keystore

import android.hardware.security.keymint.ErrorCode
import android.system.keystore2.ResponseCode
import dev.modelkeep.Authentication
import dev.modelkeep.AuthenticationRequiredError
import dev.modelkeep.FleetIdentity
import dev.modelkeep.Identity
import dev.modelkeep.KeyBusyError
import dev.modelkeep.KeyInvalidatedError
import dev.modelkeep.KeyMissingError
import dev.modelkeep.KeyProtection
import dev.modelkeep.KeyStoreError
import dev.modelkeep.KeystoreIdentity
import dev.modelkeep.Recipient
import dev.modelkeep.SecurityLevel
import dev.modelkeep.StorageError
import dev.modelkeep.TamperedError
import dev.modelkeep.UsageError
import dev.modelkeep.WrappedIdentity
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.fake.SoftwareKeys
import dev.modelkeep.fake.StrongBox
import dev.modelkeep.keys.Constraints
import dev.modelkeep.keys.DataKey
import dev.modelkeep.vectors.Vector
import java.io.File
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.CsvSource
import org.junit.jupiter.params.provider.ValueSource

internal class IdentityTest {
    @TempDir
    lateinit var folder: File

    @ParameterizedTest
    @CsvSource("ABSENT,TRUSTED_ENVIRONMENT", "WITHOUT_AGREEMENT,TRUSTED_ENVIRONMENT", "COMPLETE,STRONGBOX")
    fun `the best place for a key is taken and reported`(strongBox: StrongBox, level: SecurityLevel) {
        FakePhone(strongBox).switchOn()
        assertEquals(level, KeystoreIdentity.enrol("key").securityLevel)
        assertEquals(level, KeystoreIdentity.open("key").securityLevel)
    }

    @Test
    fun `a key opens what was granted to it, after the user authenticated`() {
        val phone = FakePhone().switchOn()
        val identity = KeystoreIdentity.enrol("key")
        assertThrows(AuthenticationRequiredError::class.java) { roundTrip(identity, identity.recipient("phone-1")) }
        phone.authenticate()
        roundTrip(identity, identity.recipient("phone-1"))
        phone.now += 31
        assertThrows(AuthenticationRequiredError::class.java) { roundTrip(identity, identity.recipient()) }
    }

    @Test
    fun `opening a grant takes two operations of the hardware`() {
        val phone = FakePhone().switchOn()
        val identity = KeystoreIdentity.enrol("key", KeyProtection(Authentication.NONE))
        phone.forgetCalls()
        roundTrip(identity, identity.recipient())
        // The third call is the framework's own: it aborts the operation that is over.
        assertEquals(listOf("createOperation", "finish", "abort"), phone.calls)
    }

    @Test
    fun `a key for biometrics alone is lost with a new fingerprint, and enrolled again`() {
        val phone = FakePhone().switchOn()
        val protection = KeyProtection(Authentication.BIOMETRIC)
        val identity = KeystoreIdentity.enrol("key", protection)
        phone.enrolBiometric()
        phone.authenticate()
        assertThrows(KeyInvalidatedError::class.java) { roundTrip(identity, identity.recipient()) }
        val next = KeystoreIdentity.enrol("key", protection)
        roundTrip(next, next.recipient())
    }

    @ParameterizedTest
    @CsvSource("35,true", "34,false", "31,false")
    fun `the rule of the unlocked device is applied where it is safe`(apiLevel: Int, isRefused: Boolean) {
        val phone = FakePhone().switchOn()
        val identity = KeystoreIdentity.enrol("key", KeyProtection(Authentication.NONE), apiLevel)
        phone.isLocked = true
        val attempt = { roundTrip(identity, identity.recipient()) }
        if (isRefused) assertThrows(AuthenticationRequiredError::class.java, attempt) else attempt()
    }

    @Test
    fun `the challenge of a server is in the attestation`() {
        FakePhone().switchOn()
        val challenge = "0123456789abcdef".toByteArray()
        val identity = KeystoreIdentity.enrol("key", KeyProtection(attestationChallenge = challenge))
        val extension = identity.certificateChain[0].getExtensionValue("1.3.6.1.4.1.11129.2.1.17")
        assertTrue(String(challenge) in String(extension, Charsets.ISO_8859_1))
    }

    @Test
    fun `a key that is not there is said so`() {
        FakePhone().switchOn()
        assertThrows(KeyStoreError::class.java) { KeystoreIdentity.open("absent") }
        KeystoreIdentity.enrol("key")
        KeystoreIdentity.delete("key")
        assertThrows(KeyStoreError::class.java) { KeystoreIdentity.open("key") }
    }

    @Test
    fun `agreement is not offered where the Keystore lacks it`() {
        FakePhone().switchOn()
        assertThrows(UsageError::class.java) { KeystoreIdentity.enrol("key", KeyProtection(), 30) }
    }

    @ParameterizedTest
    @ValueSource(ints = [23, 27, 28, 30])
    fun `a wrapped key serves older phones`(apiLevel: Int) {
        val phone = FakePhone().switchOn()
        val file = File(folder, "key")
        phone.authenticate()
        val identity = WrappedIdentity.enrol("key", file, KeyProtection(), apiLevel)
        roundTrip(identity, identity.recipient())
        val opened = WrappedIdentity.open(file)
        roundTrip(opened, opened.recipient())
        phone.now += 31
        assertThrows(AuthenticationRequiredError::class.java) { roundTrip(opened, opened.recipient()) }
    }

    @Test
    fun `a fleet's key can be kept wrapped`() {
        FakePhone().switchOn()
        val file = File(folder, "key")
        val fleet = FleetIdentity.derive(ByteArray(32) { it.toByte() }, "phone-1")
        val kept = WrappedIdentity.keepFleetKey("key", file, fleet, KeyProtection(Authentication.NONE))
        roundTrip(kept, fleet.recipient())
        fleet.close()
        assertArrayEquals(ByteArray(32), fleet.key)
    }

    @Test
    fun `a wrapped key of another device does not unwrap`() {
        FakePhone().switchOn()
        val file = File(folder, "key")
        val protection = KeyProtection(Authentication.NONE)
        val identity = WrappedIdentity.enrol("key", file, protection)
        FakePhone().switchOn()
        WrappingKey.generate(aliasIn(file), protection, 35)
        val stolen = WrappedIdentity.open(file)
        assertThrows(TamperedError::class.java) { roundTrip(stolen, identity.recipient()) }
    }

    @Test
    fun `a key is made only where it is demanded to be`() {
        FakePhone(StrongBox.ABSENT).switchOn()
        KeystoreIdentity.enrol("key", KeyProtection(requireHardware = true))
        assertThrows(KeyStoreError::class.java) { KeystoreIdentity.enrol("key", KeyProtection(requireStrongBox = true)) }
        FakePhone(StrongBox.WITHOUT_AGREEMENT).switchOn()
        assertThrows(KeyStoreError::class.java) { KeystoreIdentity.enrol("key", KeyProtection(requireStrongBox = true)) }
        FakePhone(StrongBox.COMPLETE).switchOn()
        KeystoreIdentity.enrol("key", KeyProtection(requireStrongBox = true))
        FakePhone(isSecureWorldReal = false).switchOn()
        assertEquals(SecurityLevel.SOFTWARE, KeystoreIdentity.enrol("key", KeyProtection(Authentication.NONE)).securityLevel)
        val demanding = KeyProtection(Authentication.NONE, requireHardware = true)
        assertThrows(KeyStoreError::class.java) { KeystoreIdentity.enrol("key", demanding) }
        assertThrows(KeyMissingError::class.java) { KeystoreIdentity.open("key") }
        assertThrows(KeyStoreError::class.java) { WrappedIdentity.enrol("key", File(folder, "key"), demanding) }
        assertFalse(File(folder, "key").exists())
    }

    @Test
    fun `keys that were made for something else, or elsewhere, are not taken`() {
        FakePhone().switchOn()
        val pem = Vector.all(File("../vectors/v1")).first().identityText
        SoftwareKeys.intoKeystore(pem, "imported")
        assertThrows(KeyStoreError::class.java) { KeystoreIdentity.open("imported") }
        val file = File(folder, "key")
        WrappedIdentity.enrol("key", file, KeyProtection(Authentication.NONE))
        val alias = aliasIn(file)
        assertThrows(KeyStoreError::class.java) { KeystoreIdentity.open(alias) }
        KeystoreIdentity.enrol(alias, KeyProtection(Authentication.NONE))
        assertThrows(KeyStoreError::class.java) { WrappedIdentity.open(file) }
    }

    @Test
    fun `a busy Keystore, and one that fails for a moment, is asked again`() {
        val phone = FakePhone().switchOn()
        val identity = KeystoreIdentity.enrol("key", KeyProtection(Authentication.NONE))
        phone.failure = ResponseCode.BACKEND_BUSY
        assertThrows(KeyBusyError::class.java) { identity.localKey() }
        phone.failure = ErrorCode.SECURE_HW_BUSY
        assertThrows(KeyBusyError::class.java) { identity.localKey() }
        phone.failure = null
        identity.localKey().close()
    }

    @Test
    fun `a wrapped key is replaced only by its own file`() {
        val phone = FakePhone().switchOn()
        val file = File(folder, "key")
        val none = KeyProtection(Authentication.NONE)
        val identity = WrappedIdentity.enrol("key", file, none)
        phone.failure = ResponseCode.SYSTEM_ERROR
        assertThrows(KeyStoreError::class.java) { WrappedIdentity.enrol("key", file, none) }
        phone.failure = null
        roundTrip(WrappedIdentity.open(file), identity.recipient())
        File(folder, "key.partial").mkdirs()
        File(folder, "key.partial/in the way").mkdirs()
        assertThrows(StorageError::class.java) { WrappedIdentity.enrol("key", file, none) }
        File(folder, "key.partial").deleteRecursively()
        roundTrip(WrappedIdentity.open(file), identity.recipient())
        val next = WrappedIdentity.enrol("key", file, none)
        roundTrip(WrappedIdentity.open(file), next.recipient())
        assertThrows(KeyStoreError::class.java) { roundTrip(identity, identity.recipient()) }
        assertEquals(1, phone.keyCount)
        WrappedIdentity.delete(file)
        assertEquals(0, phone.keyCount)
    }

    @Test
    fun `what a device cannot do is said and not left out`() {
        FakePhone().switchOn()
        val file = File(folder, "key")
        val biometric = KeyProtection(Authentication.BIOMETRIC)
        assertThrows(UsageError::class.java) { WrappedIdentity.enrol("key", file, biometric, 29) }
        val attested = KeyProtection(Authentication.NONE, attestationChallenge = ByteArray(16))
        assertThrows(UsageError::class.java) { WrappedIdentity.enrol("key", file, attested) }
    }

    @Test
    fun `a restored file without its key in the Keystore is said so`() {
        FakePhone().switchOn()
        val file = File(folder, "key")
        WrappedIdentity.enrol("key", file, KeyProtection(Authentication.NONE))
        FakePhone().switchOn()
        assertThrows(KeyMissingError::class.java) { WrappedIdentity.open(file) }
        WrappedIdentity.delete(file)
        assertFalse(file.exists())
    }

    private fun aliasIn(file: File) = Regex("\"alias\":\"([^\"]*)").find(file.readText())!!.groupValues[1]

    private fun roundTrip(identity: Identity, recipient: Recipient) {
        val key = ByteArray(32) { (it + 1).toByte() }
        val bundle = ByteArray(16) { it.toByte() }
        val grant = recipient.grant(bundle, DataKey(key.clone()), Constraints())
        val selected = identity.select(sequenceOf(grant), bundle) {}
        assertArrayEquals(key, identity.open(selected, bundle).dataKey.bytes)
    }
}
