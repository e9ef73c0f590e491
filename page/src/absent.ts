// Stands in for optional modules that this page leaves out of its bundle.
export {};
