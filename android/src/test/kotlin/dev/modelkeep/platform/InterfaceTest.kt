package dev.modelkeep.platform

import java.io.File
import kotlinx.validation.api.dump
import kotlinx.validation.api.filterOutNonPublic
import kotlinx.validation.api.loadApiFromJvmClasses
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Tag
import org.junit.jupiter.api.Test

/** What others can call is what `api/modelkeep-android.api` says, so that nobody changes it without seeing it. */
@Tag("platform")
internal class InterfaceTest {
    @Test
    fun `the binary interface is the one that is written down`() {
        val classes = File("target/classes").walk().filter { it.extension == "class" }.sortedBy { it.path }
        val found = classes.map { it.inputStream() }.loadApiFromJvmClasses().filterOutNonPublic().dump(StringBuilder()).toString()
        val written = File("api/modelkeep-android.api")
        if (System.getProperty("modelkeep.api") == "write") written.writeText(found)
        assertEquals(written.readText(), found, "mvn -f android test -Dmodelkeep.api=write writes it anew")
    }
}
