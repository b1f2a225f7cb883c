// Lint rules: typescript-eslint's strict set, and no way to turn text into markup or code.
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["node_modules/", "coflect_widget/", "js/harness/dist/", ".venv/", ".venv-*/", "**/*.mjs", "*.config.*", "build/", "dist/"] },
  ...tseslint.configs.strictTypeChecked,
  {
    files: ["js/**/*.ts"],
    languageOptions: { parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname } },
    rules: {
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      eqeqeq: "error",
      "max-lines": ["error", { max: 400 }],
      "no-console": "error",
      // Class names and kernel texts are shown as text, never as markup; nothing is fetched.
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML", "createContextualFragment", "srcdoc"].map((property) => ({
          property,
          message: "Text is text: use textContent.",
        })),
        { object: "document", property: "write", message: "Text is text." },
      ],
      "no-restricted-syntax": [
        "error",
        {
          selector: "MemberExpression[property.name=/^(innerHTML|outerHTML|insertAdjacentHTML|srcdoc)$/]",
          message: "Text is text: use textContent.",
        },
        { selector: "NewExpression[callee.name='DOMParser']", message: "Text is text." },
      ],
      "no-restricted-globals": ["error", "fetch", "XMLHttpRequest", "WebSocket", "EventSource"],
      // Numbers in template strings are readable; everything else stays forbidden.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
    },
  },
  { files: ["js/src/decode.ts", "js/src/protocol.ts"], rules: { "max-lines": "off" } }, // written by a program
);
