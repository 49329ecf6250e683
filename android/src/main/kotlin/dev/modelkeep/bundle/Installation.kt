package dev.modelkeep.bundle

import dev.modelkeep.TamperedError
import dev.modelkeep.container.Archive
import dev.modelkeep.container.BundleFile
import dev.modelkeep.container.Form
import dev.modelkeep.container.Names
import dev.modelkeep.container.Tar
import dev.modelkeep.keys.Hkdf
import dev.modelkeep.payload.PlainTarget
import dev.modelkeep.payload.SealedStream
import dev.modelkeep.payload.StreamKey
import dev.modelkeep.payload.StreamLayout
import dev.modelkeep.sha256
import dev.modelkeep.toHexadecimal
import dev.modelkeep.wipe
import dev.modelkeep.wipedAfter
import java.io.Closeable
import java.io.File
import java.nio.ByteBuffer

/**
 * A model that was installed on this device. Digests were checked when it was installed; what can change since is
 * checked at every open. Owns its file. Source: spec/install-v1.md, section 7.
 */
internal class Installation private constructor(private val file: File, private val archive: Archive) :
    Closeable by archive {
    constructor(file: File) : this(file, Archive.open(BundleFile.open(file), Form.INSTALLATION))

    /** Checks everything that can have changed since the model was installed. */
    fun unlock(remembered: Remembered, posture: Set<String>): Unlocked {
        val signed = SignedManifest.verify(archive, remembered.verifier)
        val installed = InstallRecord.parse(archive.read(Names.INSTALL))
        checkHeader(installed.header, signed)
        val record = Lease.inForce(file, installed, signed.manifest.grantIssuers.isNotEmpty())
        val header = record.header
        checkSizes(signed)
        val installKey = remembered.state.local.unwrap(record.wrapped, InstallRecord.context(record.headerBytes))
        return installKey.wipedAfter {
            // From here on the header is authentic.
            header.constraints.check(signed.now, posture)
            remembered.check(signed.manifest)
            val known = remembered.current(header.model, header.installation.toHexadecimal())
            UnlockedInstallation(signed, header, payloadKey(it, known.secret))
        }
    }

    private fun checkHeader(header: InstallHeader, signed: SignedManifest) {
        val manifest = signed.manifest
        val isSame = header.manifest.contentEquals(sha256(signed.bytes)) &&
            header.model == manifest.model && header.epoch == manifest.epoch
        if (!isSame) throw TamperedError("the installation was made for another release")
    }

    private fun checkSizes(signed: SignedManifest) {
        val sizes = signed.manifest.members.map { StreamLayout(it.size).sealedSize }
        val expected = sizes.withIndex().associate { (index, size) -> Names.payload(index) to size }
        if (archive.sizes.filterKeys(Names::isPayload) != expected) {
            throw TamperedError("the files of the installation are not those that its manifest lists")
        }
    }

    private inner class UnlockedInstallation(
        signed: SignedManifest,
        private val header: InstallHeader,
        private val key: ByteArray,
    ) : Unlocked(signed, header.deviceId, header.constraints) {
        override fun decrypt(index: Int, target: PlainTarget) {
            val layout = StreamLayout(manifest.members[index].size)
            val associated = StreamKey.installedAssociatedData(header.suite, header.installation, index)
            SealedStream(archive.open(Names.payload(index)), layout, null).use { stream ->
                stream.decrypt({ StreamKey.derive(header.suite, key, associated, it) }, target)
            }
        }

        override fun close() = key.wipe()
    }

    companion object {
        private val LABEL = "modelkeep/v1/payload".encodeToByteArray()

        /** Returns the 32 bytes that stream keys are derived from; wiping them is the caller's. */
        fun payloadKey(installKey: ByteArray, secret: ByteArray): ByteArray = Hkdf.derive(installKey, secret, LABEL)

        /** Returns whether a file begins like an installation; says nothing of its worth. */
        fun isOne(file: File): Boolean = !file.isDirectory && BundleFile.open(file).use {
            val block = ByteArray(Tar.BLOCK)
            if (it.length < block.size) return false
            it.read(0, block)
            Tar.name(block) == Names.INSTALL
        }
    }
}
