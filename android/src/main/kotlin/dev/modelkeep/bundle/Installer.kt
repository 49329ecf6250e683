package dev.modelkeep.bundle

import dev.modelkeep.Progress
import dev.modelkeep.ProgressMeter
import dev.modelkeep.container.ArchiveWriter
import dev.modelkeep.container.FileLock
import dev.modelkeep.container.Names
import dev.modelkeep.container.Replacement
import dev.modelkeep.keys.Constraints
import dev.modelkeep.payload.SegmentWriter
import dev.modelkeep.payload.StreamKey
import dev.modelkeep.payload.StreamLayout
import dev.modelkeep.sha256
import dev.modelkeep.toHexadecimal
import dev.modelkeep.wipedAfter
import java.io.File
import java.nio.ByteBuffer
import java.security.SecureRandom

/**
 * Checks an unlocked bundle once, completely, and keeps it under a key of this device alone; afterwards older
 * releases of the model do not count. Source: spec/install-v1.md, section 6.
 */
internal class Installer(private val bundle: UnlockedBundle, private val remembered: Remembered, progress: Progress? = null) {
    private val local = remembered.state.local
    private val manifest = bundle.manifest
    private val meter = ProgressMeter(manifest.members.sumOf { it.size }, progress)
    private val header = InstallHeader(
        random(16),
        sha256(bundle.signed.bytes),
        manifest.model,
        manifest.epoch,
        manifest.suite,
        // An installation cannot grant: it does not hold the data key.
        bundle.constraints.let { Constraints(it.notBefore, it.notAfter, it.posture) },
        bundle.deviceId,
    )
    private val id = header.installation.toHexadecimal()

    /** Writes the installation to [target], in place of any file that is there. */
    fun install(target: File) = FileLock.take(target).use {
        val secret = remembered.stage(manifest.model, id, remembered.mark(bundle.signed))
        Replacement(target).use { file ->
            random(32).wipedAfter { installKey ->
                val writer = writer(file, installKey)
                Installation.payloadKey(installKey, secret).wipedAfter { key ->
                    for (index in manifest.members.indices) reseal(index, key, writer)
                }
            }
            // The state changes last: a crash before that leaves the old installation in force.
            remembered.commit(manifest.model, id, file::commit)
        }
    }

    private fun writer(file: Replacement, installKey: ByteArray): ArchiveWriter {
        val headerBytes = header.toBytes()
        val wrapped = local.wrap(installKey, InstallRecord.context(headerBytes))
        val small = listOfNotNull(
            Names.INSTALL to InstallRecord(headerBytes, wrapped).toBytes(),
            Names.MANIFEST to bundle.signed.bytes,
            Names.SIGNATURE to bundle.signed.signature,
            bundle.signed.secondSignature?.let { Names.SECOND_SIGNATURE to it },
        ).toMap()
        val payload = manifest.members.indices.associate {
            Names.payload(it) to StreamLayout(manifest.members[it].size).sealedSize
        }
        file.requireRoom(payload.values.sum())
        val writer = ArchiveWriter(file.channel, small.mapValues { it.value.size.toLong() } + payload)
        small.forEach { (name, content) -> writer.write(name, 0, ByteBuffer.wrap(content)) }
        return writer
    }

    private fun reseal(index: Int, key: ByteArray, writer: ArchiveWriter) {
        val streamHeader = StreamKey.newHeader()
        val associated = StreamKey.installedAssociatedData(header.suite, header.installation, index)
        val streamKey = StreamKey.derive(header.suite, key, associated, streamHeader)
        val name = Names.payload(index)
        val layout = StreamLayout(manifest.members[index].size)
        bundle.decryptSegments(index) {
            val segments = SegmentWriter(layout, streamHeader, streamKey) { at, data -> writer.write(name, at, data) }
            return@decryptSegments { segment, plain ->
                meter.add(plain.remaining())
                segments.write(segment, plain)
            }
        }
    }

    private fun random(length: Int) = ByteArray(length).also(SecureRandom()::nextBytes)
}
