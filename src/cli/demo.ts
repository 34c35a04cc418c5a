import { fileURLToPath } from "node:url"
import type { Command } from "./command.js"
import { runProgram } from "./program.js"

/** Runs the main job, which has a help of its own. */
export const demo: Command = {
  name: "demo",
  summary: "time mixture-of-experts layers, side by side and in sequence",
  run: (args) => runProgram(["node", fileURLToPath(new URL("moe/main.js", import.meta.url)), ...args], {}, "stdout"),
}
