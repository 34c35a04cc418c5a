/**
 * Imported ahead of a suite that is watched by a sanitizer. The sanitizer has some calls wait for the whole device, so
 * that a test that holds a latch meanwhile waits for the latch's own time limit and fails. What it makes the GPU do is
 * watched all the same, if that does not take all the time there is.
 */

import { latch } from "../../test/support/kernels.js"

/** Long enough for a test that the sanitizer lets pass. */
const mostMilliseconds = 4000

const launch = latch.launch.bind(latch)
latch.launch = (options, flags, milliseconds) => launch(options, flags, Math.min(milliseconds, mostMilliseconds))
