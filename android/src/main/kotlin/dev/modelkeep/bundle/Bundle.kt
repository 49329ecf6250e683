package dev.modelkeep.bundle

import dev.modelkeep.Identity
import dev.modelkeep.TamperedError
import dev.modelkeep.Verifier
import dev.modelkeep.container.Container
import dev.modelkeep.container.Names
import dev.modelkeep.document.Manifest
import dev.modelkeep.keys.DataKey
import dev.modelkeep.keys.Grant
import dev.modelkeep.payload.LeafDigest
import dev.modelkeep.payload.Leaves
import dev.modelkeep.payload.PlainTarget
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

/** A bundle that was opened and nothing more: everything it says is hearsay. Owns [container]. */
internal class Bundle(val container: Container) : Closeable by container {
    /** Gives the grants that were sealed into the bundle. */
    fun embeddedGrants(): Sequence<ByteArray> =
        container.sizes.keys.asSequence().filter { it.startsWith(Names.GRANTS) }.map(container::read)

    /** Checks signature, manifest and policy; reads no payload. */
    fun verify(verifier: Verifier): VerifiedBundle {
        val signed = SignedManifest.verify(container, verifier)
        checkSizes(signed.manifest)
        return VerifiedBundle(this, signed)
    }

    private fun checkSizes(manifest: Manifest) {
        val expected = HashMap<String, Long>()
        manifest.members.forEachIndexed { index, member ->
            val layout = StreamLayout(member.size)
            expected[Names.leaves(index)] = StreamLayout.LEAF.toLong() * layout.count
            expected[Names.payload(index)] = layout.sealedSize
        }
        if (container.sizes.filterKeys(Names::isContent) != expected) {
            throw TamperedError("the files of the bundle are not those that its manifest lists")
        }
    }
}

/** A bundle whose manifest was signed by somebody trusted; made by [Bundle.verify] alone. */
internal class VerifiedBundle(private val bundle: Bundle, val signed: SignedManifest) {
    private val manifest get() = signed.manifest

    /** Checks every byte of the payload against the signed digests, of both kinds where both are there. */
    fun checkDigests() {
        for (index in manifest.members.indices) stream(index).use { it.check(wholeDigest(index)) }
    }

    /** Finds the grant for [identity] and takes the data key out of it. */
    fun unlock(identity: Identity, grants: Sequence<Grant>, posture: Set<String>): UnlockedBundle {
        // The header that is checked here is authentic as soon as the grant opens under it.
        val grant = identity.select(grants, manifest.bundle) { accept(it, posture) }
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
        val leaves = leaves(index)
        val content = bundle.container.open(Names.payload(index))
        return SealedStream(content, StreamLayout(manifest.members[index].size), leaves)
    }

    /** Returns the SHA-256 of the whole stream of member [index], where the statement lists it. */
    fun wholeDigest(index: Int): ByteArray? = signed.resources[Names.payload(index)]

    private fun accept(grant: Grant, posture: Set<String>) {
        if (manifest.grantIssuers.isNotEmpty()) grant.checkIssuer(manifest.grantIssuers)
        grant.header.constraints.check(signed.now, posture)
    }

    private fun leaves(index: Int): Leaves {
        val name = Names.leaves(index)
        val leaves = bundle.container.read(name)
        val digest = LeafDigest.of(manifest.leaf).of(ByteBuffer.wrap(leaves))
        val isListed = signed.resources[name]?.contentEquals(sha256(leaves)) ?: true
        if (!digest.contentEquals(manifest.members[index].leaves) || !isListed) {
            throw TamperedError("$name is not the one that was signed")
        }
        return Leaves(leaves, manifest.leaf)
    }
}

/** A verified bundle together with its data key; made by [VerifiedBundle.unlock] alone. */
internal class UnlockedBundle(private val verified: VerifiedBundle, private val grant: Identity.UnwrappedGrant) :
    Unlocked(verified.signed, grant.deviceId, grant.constraints) {
    val dataKey: DataKey get() = grant.dataKey
    private val payloadKey = dataKey.payloadKey()

    override fun decrypt(index: Int, target: PlainTarget) =
        verified.stream(index).use { it.decrypt({ header -> streamKey(index, header) }, target) }

    /** Checks all of member [index]; each thread hands its segments of the plaintext to what [newUser] made for it. */
    fun decryptSegments(index: Int, newUser: () -> (segment: Int, plain: ByteBuffer) -> Unit) =
        verified.stream(index).use {
            it.decryptSegments({ header -> streamKey(index, header) }, verified.wholeDigest(index), newUser)
        }

    /** Wipes the keys. */
    override fun close() {
        payloadKey.wipe()
        dataKey.close()
    }

    private fun streamKey(index: Int, header: ByteArray): StreamKey {
        val associated = StreamKey.associatedData(manifest.suite, manifest.bundle, index)
        return StreamKey.derive(manifest.suite, payloadKey, associated, header)
    }
}
