#!/usr/bin/env node

/** Older versions lack node:sqlite, and would fail with a stack trace. */
const NODE_MAJOR_MIN = 24

if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR_MIN) {
  const found = process.versions.node
  console.error(`rescind: Node.js ${NODE_MAJOR_MIN} or later is needed, and this is ${found}.`)
  process.exitCode = 2
} else {
  const { keepHeapSmall } = await import('./heap.ts')
  keepHeapSmall()
  const { processIo } = await import('./process-io.ts')
  const { runCommand } = await import('./program.ts')
  const io = processIo()
  await runCommand(io, process.argv.slice(2))
  process.exitCode = io.exitCode
}
