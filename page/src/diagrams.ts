// Stands in for the diagram library, which is four times the size of the rest of the page.
export default {
  initialize(): void {},
  render(): never {
    throw new Error("This page shows diagrams as text.");
  },
};
