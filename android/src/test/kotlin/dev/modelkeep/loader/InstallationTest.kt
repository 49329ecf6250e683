package dev.modelkeep.loader

import android.os.SharedMemory
import dev.modelkeep.Authentication
import dev.modelkeep.AuthenticationRequiredError
import dev.modelkeep.ExpiredError
import dev.modelkeep.FleetIdentity
import dev.modelkeep.Identity
import dev.modelkeep.KeepError
import dev.modelkeep.KeyProtection
import dev.modelkeep.KeystoreIdentity
import dev.modelkeep.MalformedError
import dev.modelkeep.RefusedError
import dev.modelkeep.RollbackError
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.TamperedError
import dev.modelkeep.UsageError
import dev.modelkeep.Verifier
import dev.modelkeep.WrappedIdentity
import dev.modelkeep.bundle.Bundle
import dev.modelkeep.bundle.InstallRecord
import dev.modelkeep.container.Archive
import dev.modelkeep.container.BundleFile
import dev.modelkeep.container.Container
import dev.modelkeep.container.Form
import dev.modelkeep.container.Names
import dev.modelkeep.document.ReleaseOrder
import dev.modelkeep.document.SignerId
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.keys.Constraints
import dev.modelkeep.keys.Grants
import dev.modelkeep.keys.Hpke
import dev.modelkeep.keys.KeyWrap
import dev.modelkeep.keys.LocalKey
import dev.modelkeep.keys.P256
import dev.modelkeep.keys.SoftwareKey
import dev.modelkeep.sha256
import dev.modelkeep.state.DeviceState
import dev.modelkeep.state.Installed
import dev.modelkeep.state.Judge
import dev.modelkeep.state.Mark
import dev.modelkeep.state.Stage
import dev.modelkeep.state.StateFile
import dev.modelkeep.toHexadecimal
import dev.modelkeep.trust.EcdsaKey
import dev.modelkeep.vectors.Vector
import java.io.File
import java.security.interfaces.ECPublicKey
import java.util.Random
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** Installing on the device, and attacks on what it keeps. */
internal class InstallationTest {
    @TempDir
    lateinit var folder: File
    private lateinit var phone: FakePhone
    private lateinit var states: File
    private lateinit var installed: File

    @BeforeEach
    fun switchOn() {
        phone = FakePhone().switchOn()
        SharedMemory.given.clear()
        states = File(folder, "states")
        installed = File(folder, "installed.keep")
    }

    private val vector = Vector.all(File("../vectors/v1")).first { it.name == "sha256-leaves" }
    private val device by lazy { vector.identity() as KeystoreIdentity }

    @Test
    fun `an installation gives the same files with one agreement`() {
        val loader = loader()
        loader.install(vector.bundle, installed)
        phone.forgetCalls()
        loader.open(installed).use { model ->
            assertEquals(vector.files, Vector.digests(model))
            assertEquals(vector.deviceId, model.report.deviceId)
        }
        assertEquals(listOf("createOperation", "finish", "abort"), phone.calls)
        assertTrue(SharedMemory.given.all { it.isZero && it.isClosed })
        assertEquals(setOf("installed.keep", "installed.keep.lock", "states"), folder.list()!!.toSet())
    }

    @Test
    fun `an installation keeps the second signature of its bundle`() {
        val signed = Vector.all(File("../vectors/v1")).first { it.name == "second-signature" }
        val loader = SecureModelLoader(signed.identity(), signed.verifier(), states)
        loader.install(signed.bundle, installed)
        val (given, kept) = listOf(signed.bundle to Form.BUNDLE, installed to Form.INSTALLATION).map { (file, form) ->
            Archive.open(BundleFile.open(file), form).use { it.read(Names.SECOND_SIGNATURE) }
        }
        assertArrayEquals(given, kept)
        loader.open(installed).use { assertEquals(signed.files, Vector.digests(it)) }
    }

    @Test
    fun `every kind of key gives a local key that only this device has`() {
        val fleet = FleetIdentity.derive(ByteArray(32) { 1 }, "phone-1")
        val none = KeyProtection(Authentication.NONE)
        val identities = listOf(
            KeystoreIdentity.enrol("a", none),
            WrappedIdentity.enrol("b", File(folder, "b"), none, 28),
            WrappedIdentity.keepFleetKey("c", File(folder, "c"), fleet, none),
        )
        val context = byteArrayOf(1)
        val wrapped = identities.map { identity -> identity.localKey().use { it.wrap(ByteArray(32) { 7 }, context) } }
        identities.forEachIndexed { index, identity -> checkUnwraps(identity, wrapped, index, context) }
        checkUnwraps(fleet, wrapped, 2, context)
    }

    private fun checkUnwraps(identity: Identity, wrapped: List<ByteArray>, own: Int, context: ByteArray) {
        identity.localKey().use { local ->
            assertArrayEquals(ByteArray(32) { 7 }, local.unwrap(wrapped[own], context))
            assertThrows(TamperedError::class.java) { local.unwrap(wrapped[own], context + 1) }
            assertThrows(TamperedError::class.java) { local.unwrap(wrapped[(own + 1) % wrapped.size], context) }
        }
    }

    @Test
    fun `a local key needs the user's authentication where the key does`() {
        val identity = KeystoreIdentity.enrol("key")
        assertThrows(AuthenticationRequiredError::class.java) { identity.localKey() }
        phone.authenticate()
        identity.localKey().close()
    }

    @Test
    fun `planting a model by wrapping a key to the public key`() {
        val loader = installOne()
        val own = P256.decode(device.publicValue)!!
        val ephemeral = SoftwareKey(P256.generate())
        val agreed = LocalKey.of(ephemeral.agree(own))
        val ways = listOf<(ByteArray, ByteArray) -> ByteArray>(
            { key, context -> Hpke.seal(own, key, context) },
            { key, context -> agreed.wrap(key, context) },
            { key, context -> KeyWrap.wrap(device.publicValue.copyOf(32), key, context) },
        )
        for (way in ways) {
            rewriteRecord { InstallRecord(it.headerBytes, way(ByteArray(32), InstallRecord.context(it.headerBytes))) }
            assertThrows(TamperedError::class.java) { loader.open(installed) }
        }
    }

    @Test
    fun `an installation made elsewhere with the device's own key`() {
        installOne()
        assertThrows(RollbackError::class.java) { loader(File(folder, "other")).open(installed) }
    }

    @Test
    fun `an installation does not open on another device`() {
        installOne()
        val stranger = KeystoreIdentity.enrol("stranger", KeyProtection(Authentication.NONE))
        val loader = SecureModelLoader(stranger, vector.verifier(), File(folder, "stranger"))
        assertThrows(TamperedError::class.java) { loader.open(installed) }
        // Nor with the state of the device, under the name that the stranger's own would have.
        val stolen = File(folder, "stolen").apply { mkdirs() }
        stateFile(device).copyTo(File(stolen, stateFile(stranger).name))
        val thief = SecureModelLoader(stranger, vector.verifier(), stolen)
        assertThrows(TamperedError::class.java) { thief.open(installed) }
    }

    @Test
    fun `restoring an older installation`() {
        val loader = installOne()
        raiseEpoch()
        assertThrows(RollbackError::class.java) { loader.open(installed) }
        assertThrows(RollbackError::class.java) { loader.install(vector.bundle, File(folder, "again.keep")) }
        assertFalse(File(folder, "again.keep").exists())
        // Its secret is gone for good, too.
        val remembered = deviceState().use { it.look() }
        assertEquals(setOf("ff".repeat(16)), remembered.models.getValue("acme/detector").installations.keys)
    }

    @Test
    fun `an old bundle in the place of an installation`() {
        val loader = installOne()
        raiseEpoch()
        vector.bundle.copyTo(installed, overwrite = true)
        assertThrows(RollbackError::class.java) { loader.open(installed) }
        assertThrows(RollbackError::class.java) { loader.open(vector.bundle) }
    }

    @Test
    fun `a publisher who is not believed raises no floor`() {
        val loader = installOne()
        raiseEpoch(SignerId("00".repeat(32)))
        loader.open(installed).close()
        loader.open(vector.bundle).close()
    }

    @Test
    fun `an installation that was never finished`() {
        val loader = installOne()
        deviceState().use { state ->
            val file = File(folder, "states").listFiles()!!.first { it.name.endsWith(".state") }
            val contents = state.look()
            val model = contents.models.getValue("acme/detector")
            val (id, installed) = model.installations.entries.single()
            for (stage in listOf(Stage.STAGED, Stage.TRIAL)) {
                model.installations[id] = Installed(installed.mark, installed.secret, stage)
                StateFile(file, state.local).write(contents)
                assertThrows(RollbackError::class.java) { loader.open(this.installed) }
            }
        }
    }

    @Test
    fun `a power cut between file and state is finished when the installation is opened`() {
        val loader = installOne()
        deviceState().use { state ->
            val contents = state.look()
            contents.models.getValue("acme/detector").marks = emptyList()
            StateFile(stateFile(device), state.local).write(contents)
        }
        loader.open(installed).close()
        assertEquals(1, deviceState().use { it.look() }.models.getValue("acme/detector").marks.size)
    }

    @Test
    fun `a verifier that wants installations opens no bundles`() {
        installOne()
        val publisher = vector.publisher
        val strict = Verifier(listOf(publisher), "acme/detector", requireInstalled = true)
        val loader = SecureModelLoader(device, strict, states)
        assertThrows(RefusedError::class.java) { loader.open(vector.bundle) }
        loader.open(installed).close()
    }

    private fun deviceState() = DeviceState(states, device.publicValue, device::localKey)

    private fun stateFile(identity: Identity) = File(states, "${sha256(identity.publicValue).toHexadecimal()}.state")

    /** Has the device install a much later release, by the publisher or by somebody else. */
    private fun raiseEpoch(signer: SignerId = publisher()) = deviceState().use { state ->
        val mark = Mark(signer, ReleaseOrder(1_000_000, 0), "ee".repeat(16), signer.key)
        state.stage("acme/detector", "ff".repeat(16), mark, judge(signer))
        state.commit("acme/detector", "ff".repeat(16), judge(signer), { false }) {}
    }

    private fun publisher() = SignerId(EcdsaKey.fromPem(vector.publisher)!!.fingerprint)

    private fun judge(believed: SignerId) = object : Judge {
        override fun vouches(model: String, signer: SignerId) = signer == believed

        override fun voids(bundle: String) = false

        override fun floor(model: String): ReleaseOrder? = null
    }

    @Test
    fun `outliving the grant, and setting the clock back`() {
        var now = vector.now
        val loader = SecureModelLoader(device, vector.verifier { now }, states)
        loader.install(vector.bundle, installed, grantUntil(vector.now + 100))
        now += 100
        loader.open(installed).close()
        now += 1
        assertThrows(ExpiredError::class.java) { loader.open(installed) }
        // Nothing that roots signed says how late it is, so the device remembers no time.
        now -= 100
        loader.open(installed).close()
    }

    /** Returns a grants file with a grant for the device that counts until [last]. */
    private fun grantUntil(last: Long): File = Bundle(Container.openBundle(vector.bundle)).use { bundle ->
        val grants = Grants.all(bundle.embeddedGrants())
        bundle.verify(vector.verifier()).unlock(device, grants, emptySet()).use { opened ->
            val grant = device.recipient().grant(opened.manifest.bundle, opened.dataKey, Constraints(notAfter = last))
            File(folder, "grants").apply { writeBytes(grant.toBytes() + '\n'.code.toByte()) }
        }
    }

    @Test
    fun `changing the state`() {
        val loader = installOne()
        val state = stateFile(device)
        val original = state.readBytes()
        for (position in 20 until original.size step 41) {
            val changed = original.clone()
            changed[position] = (changed[position].toInt() xor 1).toByte()
            state.writeBytes(changed)
            val error = assertThrows(KeepError::class.java) { loader.open(installed) }
            assertTrue(error is TamperedError || error is MalformedError)
        }
    }

    @Test
    fun `every mutation of an installation is refused or changes nothing`() {
        val loader = installOne()
        val original = installed.readBytes()
        val random = Random(7)
        repeat(300) {
            val mutant = original.clone()
            mutant[random.nextInt(mutant.size)] = random.nextInt().toByte()
            installed.writeBytes(mutant)
            val files = try {
                loader.open(installed).use(Vector::digests)
            } catch (_: KeepError) {
                vector.files
            }
            assertEquals(vector.files, files, "mutation $it")
        }
        assertTrue(SharedMemory.given.all { it.isZero && it.isClosed })
    }

    @Test
    fun `a damaged bundle is not installed, and what was there stays`() {
        val loader = installOne()
        val bytes = vector.bundle.readBytes()
        val place = Archive.open(BundleFile.open(vector.bundle), Form.BUNDLE).use { it.places.getValue("payload/1") }
        val last = (place.offset + place.size - 1).toInt()
        bytes[last] = (bytes[last].toInt() xor 1).toByte()
        val damaged = File(folder, "damaged.keep").apply { writeBytes(bytes) }
        assertThrows(TamperedError::class.java) { loader.install(damaged, installed) }
        loader.open(installed).use { assertEquals(vector.files, Vector.digests(it)) }
        assertTrue(folder.list()!!.none { it.endsWith(".partial") })
    }

    @Test
    fun `installations need a state and carry their grant`() {
        val loader = installOne()
        val forgetful = SecureModelLoader(device, vector.verifier(), null)
        assertThrows(UsageError::class.java) { forgetful.open(installed) }
        assertThrows(UsageError::class.java) { forgetful.install(vector.bundle, installed) }
        assertThrows(UsageError::class.java) { loader.open(installed, vector.bundle) }
    }

    @Test
    fun `a device that fails over and over keeps what it has`() {
        val loader = installOne()
        deviceState().use { state ->
            val mark = Mark(publisher(), ReleaseOrder(1_000, 0), "dd".repeat(16), publisher().key)
            repeat(70) { state.stage("acme/detector", "%032x".format(it), mark, judge(publisher())) }
            assertEquals(64, state.look().models.getValue("acme/detector").installations.size)
        }
        loader.open(installed).close()
    }

    private fun loader(states: File = this.states) = SecureModelLoader(device, vector.verifier(), states)

    private fun installOne(): SecureModelLoader = loader().also { it.install(vector.bundle, installed) }

    private fun rewriteRecord(change: (InstallRecord) -> InstallRecord) = rewrite(installed) { files ->
        files + (Names.INSTALL to change(InstallRecord.parse(files.getValue(Names.INSTALL))).toBytes())
    }
}
