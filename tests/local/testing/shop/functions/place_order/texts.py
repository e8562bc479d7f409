THANKS = "Thank you for your order."
