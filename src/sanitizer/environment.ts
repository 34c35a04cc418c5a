/** Starts the sanitizer with the first device if the environment asks for it. */
import { mustBe } from "../common/check.js"
import { beforeFirstOpen } from "../runtime/registry.js"
import { startSanitizer } from "./sanitizer.js"

const words: ReadonlySet<string> = new Set(["1", "warn", "access", "unwritten", "pinned"])

beforeFirstOpen(() => {
  const value = process.env["AUXSTREAM_SANITIZER"]
  if (value === undefined || value === "" || value === "0") return
  const given = new Set(value.split(","))
  for (const word of given) {
    if (!words.has(word)) throw mustBe("AUXSTREAM_SANITIZER", `"0" or a list of ${[...words].join(", ")}`, value)
  }
  const how = given.has("warn") ? "warn" : "throw"
  startSanitizer({
    races: given.has("1") || given.has("warn"),
    onRace: how,
    accessModes: given.has("access"),
    unwritten: given.has("unwritten"),
    pinned: given.has("pinned"),
    onViolation: how,
  })
})
