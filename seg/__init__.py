"""Street FCN: ResNet-50 FCN-32s, FCN-16s and FCN-8s for street photos."""
