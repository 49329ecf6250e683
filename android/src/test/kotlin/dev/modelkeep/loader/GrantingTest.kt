package dev.modelkeep.loader

import dev.modelkeep.Authentication
import dev.modelkeep.Identity
import dev.modelkeep.KeyProtection
import dev.modelkeep.KeystoreIdentity
import dev.modelkeep.NotForThisDeviceError
import dev.modelkeep.RefusedError
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.UsageError
import dev.modelkeep.bundle.Bundle
import dev.modelkeep.container.Container
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.keys.Constraints
import dev.modelkeep.keys.Grants
import dev.modelkeep.vectors.Vector
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** A phone that grants a model to another one, and what a loader without a state does not do. */
internal class GrantingTest {
    @TempDir
    lateinit var folder: File

    private val vector = vector("sha256-leaves")

    @BeforeEach
    fun switchOn() {
        FakePhone().switchOn()
    }

    private fun vector(name: String) = Vector.all(File("../vectors/v1")).first { it.name == name }

    private fun loader(identity: Identity, vector: Vector = this.vector) = SecureModelLoader(identity, vector.verifier(), null)

    private fun file(grants: ByteArray) = File.createTempFile("grants", "", folder).apply { writeBytes(grants) }

    /** Returns a grants file that lets the vector's device do what [constraints] say. */
    private fun ownGrant(constraints: Constraints): File = Bundle(Container.openBundle(vector.bundle)).use { bundle ->
        val device = vector.identity()
        bundle.verify(vector.verifier()).unlock(device, Grants.all(bundle.embeddedGrants()), emptySet()).use { opened ->
            file(device.recipient().grant(opened.manifest.bundle, opened.dataKey, constraints).toBytes() + '\n'.code.toByte())
        }
    }

    @Test
    fun `a grant is passed on to another phone, and ends when its own does`() {
        val other = KeystoreIdentity.enrol("other", KeyProtection(Authentication.NONE))
        assertThrows(NotForThisDeviceError::class.java) { loader(other).open(vector.bundle) }
        val admin = ownGrant(Constraints(notAfter = vector.now + 100, delegate = true))
        val line = loader(vector.identity()).grant(vector.bundle, other.recipient("phone-2"), notAfter = vector.now + 1000, grants = admin)
        loader(other).open(vector.bundle, file(line)).use { model ->
            assertEquals(vector.files, Vector.digests(model))
            assertEquals(listOf("phone-2", vector.now + 100), listOf(model.report.deviceId, model.report.notAfter))
        }
        // The new grant may not be passed on in its turn.
        assertThrows(RefusedError::class.java) { loader(other).grant(vector.bundle, other.recipient(), grants = file(line)) }
    }

    @Test
    fun `a grant that helps nobody is not made`() {
        val admin = ownGrant(Constraints(delegate = true))
        val to = KeystoreIdentity.enrol("other", KeyProtection(Authentication.NONE)).recipient()
        for (end in listOf(-1L, Constraints.LATEST_TIME + 1, vector.now - 1)) {
            assertThrows(UsageError::class.java, { loader(vector.identity()).grant(vector.bundle, to, notAfter = end, grants = admin) }, "$end")
        }
        val signed = vector("signed-grants")
        assertThrows(UsageError::class.java) { loader(signed.identity(), signed).grant(signed.bundle, to) }
    }

    @Test
    fun `grants lie in the bundle, beside it, or where the caller says`() {
        val later = vector("granted-later")
        val beside = later.bundle.copyTo(File(folder, "later.keep"))
        assertThrows(NotForThisDeviceError::class.java) { loader(later.identity(), later).open(beside) }
        File(later.bundle.path.removeSuffix(".keep") + ".grants").copyTo(File("$beside.grants"))
        loader(later.identity(), later).open(beside).use { assertEquals(later.files, Vector.digests(it)) }
    }

    @Test
    fun `a loader without a state remembers nothing`() {
        for (action in listOf({ loader(vector.identity()).stateReport() }, { loader(vector.identity()).obey(ByteArray(0)) })) {
            assertThrows(UsageError::class.java) { action() }
        }
    }
}
