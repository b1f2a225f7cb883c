// Unit tests of the front end, in a real browser: Chromium, which the end-to-end tests need too.
import { execFileSync } from "node:child_process";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";

const find = (name: string): string => execFileSync("sh", ["-c", `command -v ${name} || true`], { encoding: "utf8" }).trim();
const executablePath = find("chromium") || find("chromium-browser");
if (!executablePath) throw new Error("Chromium is missing; on Debian: apt-get install chromium");

export default defineConfig({
  test: {
    include: ["js/tests/**/*.test.ts"],
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({ launchOptions: { executablePath, args: ["--no-sandbox", "--disable-gpu"] } }),
      instances: [{ browser: "chromium", viewport: { width: 1300, height: 900 } }],
    },
  },
});
