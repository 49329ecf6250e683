plugins {
    id("com.android.application") version "8.9.0"
    id("org.jetbrains.kotlin.android") version "2.2.0"
}

android {
    namespace = "com.example.detector"
    compileSdk = 35
    defaultConfig {
        minSdk = 30
        targetSdk = 35
    }
    androidResources { noCompress += "keep" }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }
    kotlinOptions { jvmTarget = "11" }
}

dependencies {
    implementation("dev.modelkeep:modelkeep-android:0.1.0")
    implementation("org.jetbrains.kotlinx:kotlinx-coroutines-android:1.10.2")
    implementation("androidx.work:work-runtime-ktx:2.10.0")
    implementation("com.google.ai.edge.litert:litert:1.4.0")
}
