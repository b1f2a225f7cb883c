// Unit tests of the front end; tests that need a document name happy-dom in their first line.
import { defineConfig } from "vitest/config";

export default defineConfig({ test: { include: ["js/tests/**/*.test.ts"], maxWorkers: 1 } });
