package com.example.consumer

import dev.modelkeep.FleetIdentity
import dev.modelkeep.KeepError
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.Verifier
import java.io.File
import java.nio.file.Files

/** A small app's use of the library: opens, installs and opens again, and is refused. Run after shrinking. */
object Consumer {
    @JvmStatic
    fun main(arguments: Array<String>) {
        val vectors = File(arguments[0])
        val entry = File(vectors, "index.json").readText().substringBefore("\"name\": \"fleet\"").substringAfterLast("\"about\"")
        val after = File(vectors, "index.json").readText().substringAfter("\"name\": \"fleet\"")
        val identity = FleetIdentity.parse(text(entry, "fleet"))
        val now = after.substringAfter("\"now\": ").substringBefore(',').trim().toLong()
        val publisher = text(after, "trusted")
        val folder = Files.createTempDirectory("consumer").toFile()
        val loader = SecureModelLoader(identity, Verifier(listOf(publisher), "acme/detector", clock = { now }), folder)
        val installed = File(folder, "installed.keep")
        val report = loader.install(File(vectors, "fleet.keep"), installed)
        val size = loader.open(installed).use { model -> model.buffer().remaining() }
        val error = refusal { loader.open(File(vectors, "damaged-payload.keep")) }
        println("installed $report, $size bytes; refused: $error")
        check(error == "TamperedError" || error == "NotForThisDeviceError") { error }
        folder.deleteRecursively()
    }

    private fun refusal(action: () -> Any): String =
        try {
            action().toString()
        } catch (error: KeepError) {
            error.javaClass.simpleName
        }

    private fun text(json: String, name: String): String =
        json.substringAfter("\"$name\": \"").substringBefore('"').replace("\\n", "\n")
}
