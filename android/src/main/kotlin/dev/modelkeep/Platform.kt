package dev.modelkeep

import java.security.GeneralSecurityException
import java.security.ProviderException

/**
 * Runs [action], which asks a cryptographic provider for something. What the provider cannot do is said as such:
 * its complaint must never look like an attack, nor an attack like a complaint, so that [action] itself turns the
 * one exception that means "changed" into an error of its own.
 */
internal inline fun <T> platform(action: () -> T): T =
    try {
        action()
    } catch (error: GeneralSecurityException) {
        throw PlatformError(error)
    } catch (error: ProviderException) {
        throw PlatformError(error)
    }
