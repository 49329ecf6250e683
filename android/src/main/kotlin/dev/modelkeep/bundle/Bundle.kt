package dev.modelkeep.bundle

import dev.modelkeep.Identity
import dev.modelkeep.MalformedError
import dev.modelkeep.SignatureError
import dev.modelkeep.TamperedError
import dev.modelkeep.Verifier
import dev.modelkeep.container.Archive
import dev.modelkeep.container.BundleFile
import dev.modelkeep.container.Names
import dev.modelkeep.document.Coverage
import dev.modelkeep.document.InnerManifest
import dev.modelkeep.document.Manifest
import dev.modelkeep.keys.Grant
import dev.modelkeep.payload.SealedStream
import dev.modelkeep.payload.StreamKey
import dev.modelkeep.payload.StreamLayout
import dev.modelkeep.sha256
import dev.modelkeep.wipe
import java.io.Closeable
import java.nio.ByteBuffer

/*
 * A bundle on the device: opened, then verified, then unlocked. Each step gives an object that only the
 * step before can make, and only the last one can decrypt. Source: spec/bundle-v1.md, section 10.
 */

/** A bundle that was opened and nothing more: everything it says is hearsay. Owns [file]. */
internal class Bundle(file: BundleFile) : Closeable by file {
    val archive: Archive = try {
        Archive(file)
    } catch (error: Throwable) {
        file.close()
        throw error
    }

    /** Gives the grants that were sealed into the bundle. */
    fun embeddedGrants(): Sequence<ByteArray> =
        archive.places.keys.asSequence().filter { it.startsWith(Names.GRANTS) }.map(archive::read)

    /** Checks signature, manifest and policy; reads no payload. */
    fun verify(verifier: Verifier): VerifiedBundle {
        if (Names.SIGNATURE !in archive.places) {
            throw SignatureError("the bundle is not signed", "seal it with a signer")
        }
        val data = archive.read(Names.MANIFEST)
        val statement = verifier.verifyStatement(archive.read(Names.SIGNATURE))
        if (!sha256(data).contentEquals(statement.resources[Names.MANIFEST])) {
            throw TamperedError("manifest.json is not the one that was signed")
        }
        val manifest = Manifest.parse(data)
        checkCoverage(manifest, statement.resources.keys)
        verifier.check(manifest)
        checkSizes(manifest)
        return VerifiedBundle(this, manifest, statement, verifier.now(manifest))
    }

    // The statement's own ignore_paths have no say: what is listed must be exactly what the manifest announces.
    private fun checkCoverage(manifest: Manifest, listed: Set<String>) {
        val isWhole = manifest.coverage == Coverage.FILES
        val expected = if (isWhole) Names.signedFiles(manifest.members.size) else setOf(Names.MANIFEST)
        if (listed != expected) throw SignatureError("the signature covers other files than the bundle has")
    }

    private fun checkSizes(manifest: Manifest) {
        val expected = HashMap<String, Long>()
        manifest.members.forEachIndexed { index, member ->
            val layout = StreamLayout(member.size)
            expected[Names.leaves(index)] = StreamLayout.LEAF.toLong() * layout.count
            expected[Names.payload(index)] = layout.sealedSize
        }
        val found = archive.places.filterKeys(Names::isContent).mapValues { it.value.size }
        if (found != expected) {
            throw TamperedError("the files of the bundle are not those that its manifest lists")
        }
    }
}

/** A bundle whose manifest was signed by somebody trusted; made by [Bundle.verify] alone. */
internal class VerifiedBundle(
    private val bundle: Bundle,
    val manifest: Manifest,
    private val statement: Verifier.VerifiedStatement,
    val now: Long,
) {
    val signer: String get() = statement.signer

    /** Checks every byte of the payload against the signed digests, of both kinds where both are there. */
    fun checkDigests() {
        for (index in manifest.members.indices) stream(index).check(statement.resources[Names.payload(index)])
    }

    /** Finds the grant for [identity] and takes the data key out of it. */
    fun unlock(identity: Identity, grants: Sequence<Grant>, proved: Set<String>): UnlockedBundle {
        // The header that is checked here is authentic as soon as the grant opens under it.
        val grant = identity.select(grants, manifest.bundle) { accept(it, proved) }
        val unwrapped = identity.open(grant, manifest.bundle)
        try {
            unwrapped.dataKey.checkCommitment(manifest)
            return UnlockedBundle(this, unwrapped)
        } catch (error: Throwable) {
            unwrapped.dataKey.close()
            throw error
        }
    }

    /** Returns the stream of member [index], with leaves that were checked. */
    fun stream(index: Int): SealedStream {
        val place = bundle.archive.places.getValue(Names.payload(index))
        val layout = StreamLayout(manifest.members[index].size)
        return SealedStream(bundle.archive.file, place.offset, layout, leaves(index))
    }

    private fun accept(grant: Grant, proved: Set<String>) {
        if (manifest.grantIssuers.isNotEmpty()) grant.checkIssuer(manifest.grantIssuers)
        grant.header.constraints.check(now, proved)
    }

    private fun leaves(index: Int): ByteArray {
        val name = Names.leaves(index)
        val leaves = bundle.archive.read(name)
        val digest = sha256(leaves)
        val signed = statement.resources[name] ?: digest
        if (!digest.contentEquals(manifest.members[index].leaves) || !digest.contentEquals(signed)) {
            throw TamperedError("$name is not the one that was signed")
        }
        return leaves
    }
}

/** A verified bundle together with its data key; made by [VerifiedBundle.unlock] alone. */
internal class UnlockedBundle(val verified: VerifiedBundle, val grant: Identity.UnwrappedGrant) : AutoCloseable {
    private val payloadKey = grant.dataKey.payloadKey()

    /** Returns the description of the model inside. */
    fun innerManifest(): InnerManifest {
        val size = verified.manifest.members[0].size
        if (size > InnerManifest.LARGEST) throw MalformedError("inner manifest: larger than 16 MiB")
        val data = ByteArray(size.toInt())
        decrypt(0, ByteBuffer.wrap(data))
        val inner = InnerManifest.parse(data)
        if (inner.paths.size != verified.manifest.members.size - 1) {
            throw MalformedError("inner manifest: does not name every file of the bundle")
        }
        return inner
    }

    /** Decrypts member [index] into [destination]; on an error nothing of it may be used. */
    fun decrypt(index: Int, destination: ByteBuffer) {
        val manifest = verified.manifest
        val associated = StreamKey.associatedData(manifest.suite, manifest.bundle, index)
        val makeKey = { header: ByteArray -> StreamKey.derive(manifest.suite, payloadKey, associated, header) }
        verified.stream(index).decrypt(makeKey, destination)
    }

    /** Wipes the keys. */
    override fun close() {
        payloadKey.wipe()
        grant.dataKey.close()
    }
}
