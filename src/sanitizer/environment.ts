/** Starts the sanitizer with the first device if the environment asks for it. */
import { mustBe } from "../common/check.js"
import { beforeFirstOpen } from "../runtime/registry.js"
import { startSanitizer } from "./sanitizer.js"

beforeFirstOpen(() => {
  const value = process.env["AUXSTREAM_SANITIZER"]
  if (value === undefined || value === "" || value === "0") return
  if (value !== "1" && value !== "warn") throw mustBe("AUXSTREAM_SANITIZER", '"1", "warn" or "0"', value)
  startSanitizer({ onRace: value === "warn" ? "warn" : "throw" })
})
