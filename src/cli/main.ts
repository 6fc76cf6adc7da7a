#!/usr/bin/env node
import { processIo } from './process-io.ts'
import { runCommand } from './program.ts'

const io = processIo()
await runCommand(io, process.argv.slice(2))
process.exitCode = io.exitCode
