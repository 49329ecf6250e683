package dev.modelkeep.loader

import dev.modelkeep.ExpiredError
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.UsageError
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.keys.Constraints
import dev.modelkeep.vectors.Vector
import java.io.File
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test

internal class GrantEndTest {
    @BeforeEach
    fun switchOn() {
        FakePhone().switchOn()
    }

    @Test
    fun `a model is not run after its grant has ended`() {
        val vector = Vector.all(File("../vectors/v1")).first { it.name == "last-second" }
        var now = vector.now
        vector.identity().use { identity ->
            SecureModelLoader(identity, vector.verifier { now }, null).open(vector.bundle).use { model ->
                model.check(emptyMap(), null)
                now++
                assertThrows(ExpiredError::class.java) { model.check(emptyMap(), null) }
            }
        }
    }

    @Test
    fun `a grant that would never open is not made`() {
        Constraints(notBefore = 5, notAfter = 9).checkWindow(9)
        Constraints(notBefore = 5).checkWindow(9)
        assertThrows(UsageError::class.java) { Constraints(notAfter = 8).checkWindow(9) }
        assertThrows(UsageError::class.java) { Constraints(notBefore = 12, notAfter = 10).checkWindow(9) }
    }
}
